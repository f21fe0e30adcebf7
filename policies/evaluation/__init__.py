"""How judges are measured: scenes, their scoring, and driving a judge and the policy over a stream of situations.

Knows nothing of audio or engines; whoever has recordings makes situations of them first.
"""
