"""The parts the stages share."""
