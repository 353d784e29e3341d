{# All numbers from 1 to 265, with or without names: the zones may not be loaded. #}
select
  n as zone_id,
  {{ text("coalesce(z.borough, 'Unknown')") }} as borough,
  {{ text("coalesce(z.zone, 'Zone ' || " ~ text('n') ~ ")") }} as zone,
  z.service_zone,
  n in (1, 132, 138) as is_airport,
  {{ text("case when n = 1 then 'newark_airport' when z.borough in ('Manhattan', 'Brooklyn', 'Queens', 'Bronx', 'Staten Island') then replace(lower(z.borough), ' ', '_') else 'unknown' end") }} as location,
  z.longitude,
  z.latitude,
  z.area_km2
from ({{ numbers(1, 265) }}) as ids
left join {{ ref('bronze_zones') }} as z on z.zone_id = n
