"""The LSTM family: raw values go in, days remaining come out at each step."""
