select trip_month, table_name, trip_month as source_month, load_id,
  cast('{{ var("definition") }}' as varchar(64)) as definition
from {{ source('bronze', 'loads') }} where {{ in_months() }}
