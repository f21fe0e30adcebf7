"""The published token decoder, rebuilt: units to mel by flow matching, mel to sound by a vocoder, as streams."""
