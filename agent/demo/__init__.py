"""``poise demo``: recordings through the stock client, a live timeline, a page to look at afterwards."""
