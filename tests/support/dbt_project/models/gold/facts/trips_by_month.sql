select trip_month, 'yellow' as service, count(*) as trips, sum(fare) as fares
from {{ ref('trips') }} group by trip_month
