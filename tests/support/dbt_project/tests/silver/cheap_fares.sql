select trip_month, fare from {{ ref('trips') }} where fare > 1000000
