with days as (
  select
    day, {{ part_of('year', 'day') }} as year, {{ part_of('month', 'day') }} as month,
    {{ part_of('day', 'day') }} as day_of_month, {{ weekday('day') }} as weekday
  from ({{ days(first_date(), last_date()) }}) as d
),
named as (
  select day, {{ us_holiday() }} as us_holiday, {{ new_york_holiday() }} as new_york_holiday from days
)
select
  d.day as date_day,
  d.year,
  d.month,
  d.day_of_month,
  d.weekday,
  {{ text("case d.weekday when 1 then 'Monday' when 2 then 'Tuesday' when 3 then 'Wednesday' when 4 then 'Thursday' when 5 then 'Friday' when 6 then 'Saturday' else 'Sunday' end") }} as weekday_name,
  d.weekday >= 6 as is_weekend,
  {{ text("case when d.month in (12, 1, 2) then 'winter' when d.month <= 5 then 'spring' when d.month <= 8 then 'summer' else 'fall' end") }} as season,
  {{ text('h.us_holiday') }} as us_holiday,
  {{ text('h.new_york_holiday') }} as new_york_holiday,
  {{ text("case when h.us_holiday is not null then null when d.weekday = 1 then yesterday.us_holiday when d.weekday = 5 then tomorrow.us_holiday end") }} as observed_us_holiday
from days as d
join named as h on h.day = d.day
left join named as yesterday on yesterday.day = {{ date_of(add_days(midnight('d.day'), -1)) }}
left join named as tomorrow on tomorrow.day = {{ date_of(add_days(midnight('d.day'), 1)) }}
