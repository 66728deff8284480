"""Parts of networks: layers, encoders and decoders."""
