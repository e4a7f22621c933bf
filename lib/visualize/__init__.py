"""What does a neuron want to see? Feature visualization, one signature for every method."""
