"""Examines what the processes need, and says what is wrong and what to do; changes nothing."""
