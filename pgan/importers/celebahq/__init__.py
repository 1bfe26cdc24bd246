"""CelebA-HQ, rebuilt from CelebA and the published deltas, bit for bit (docs/celebahq.md)."""
