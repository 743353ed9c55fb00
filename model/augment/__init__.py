"""From labelled pictures to training crops: windows, pasted objects, changed light."""
