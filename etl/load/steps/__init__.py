"""The steps of a load: each plans, sends, settles and proves one kind of request."""
