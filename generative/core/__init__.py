"""What everything stands on: device and seeds, checks, the values of images, tensors in a file."""
