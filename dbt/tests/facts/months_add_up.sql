{# Returns the months where bronze is not silver and rejected, or the first reasons are not all. #}
select q.service, q.trip_month, q.bronze_rows, q.silver_rows, q.rejected_rows, r.first_reason_rows
from {{ ref('month_quality') }} as q
join (
  select service, trip_month, sum(first_reason_rows) as first_reason_rows
  from {{ ref('rejections') }} group by service, trip_month
) as r on r.service = q.service and r.trip_month = q.trip_month
where q.bronze_rows <> q.silver_rows + q.rejected_rows or q.rejected_rows <> r.first_reason_rows
