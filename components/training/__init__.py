"""The training engine and its two stages, pretraining and fine-tuning."""
