"""The three stages that train a speech language model of the OpenS2S layout: understanding, generation, empathy."""
