"""The library that the flow scripts share. No flow and no task is defined here.

    source --download--> raw file --conform--> Parquet --put--> lake --load--> warehouse
           sources/                 conform/            lakes/           warehouses/

`trips/` declares the schemas, `orchestration/` is the part that knows Prefect.
"""
