{# Returns the months where the first reasons are not those of all rejected rows. #}
select q.service, q.trip_month, q.rejected_rows, r.first_reason_rows
from {{ ref('month_quality') }} as q
join (
  select service, trip_month, sum(first_reason_rows) as first_reason_rows
  from {{ ref('rejections') }} group by service, trip_month
) as r on r.service = q.service and r.trip_month = q.trip_month
where q.rejected_rows <> r.first_reason_rows
