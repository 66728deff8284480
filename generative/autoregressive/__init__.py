"""PixelCNN and PixelRNN: a likelihood pixel by pixel."""
