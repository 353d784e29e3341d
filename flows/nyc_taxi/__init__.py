"""Library shared by the flow scripts. It defines no flows and no tasks.

    source --download--> raw file --conform--> Parquet --put--> lake --load--> warehouse
           sources/                 conform/            lakes/           warehouses/

`trips/` declares the schemas; `orchestration/` holds what depends on Prefect.
"""
