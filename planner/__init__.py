"""`seedstream plan`: how many of each part a number of cameras needs, from measured costs."""
