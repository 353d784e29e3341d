-- depends_on: {{ ref('month_builds') }}
select trip_month, fare from {{ source('bronze', 'yellow_rides') }} where fare >= 0 and {{ in_months() }}
