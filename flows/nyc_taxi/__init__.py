"""What the flow scripts share: the TLC's months, and the places they go to.

    the TLC's site --download--> raw file --conform--> parquet --put--> lake --load--> warehouse
                      web.py           colors.py, conform.py    lakes/         warehouses/

No flow and no task is defined in here: those are the scripts one folder up.
"""
