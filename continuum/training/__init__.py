"""Fine-tuning: LoRA adapters continued from turn to turn, held by EWC, replay and constraint probes."""
