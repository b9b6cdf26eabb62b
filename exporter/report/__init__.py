"""What a month was like at each exchange: availability, minutes lost, outages and incidents."""
