{# Fails with a message that names the rules, because `Got 1 result` would not. #}
{%- set sql -%}
  select t.service, t.trip_month, count(*) as n,
    sum(case when t.is_rejected then 1 else 0 end) as rejected
  from (
    select service, trip_month, false as is_rejected from {{ ref('trips') }}
    union all
    select service, trip_month, true as is_rejected from {{ ref('trips_rejected') }}
  ) as t
  group by t.service, t.trip_month
  having sum(case when t.is_rejected then 1 else 0 end) > {{ var('max_rejected_fraction') }} * count(*)
  order by t.trip_month, t.service
{%- endset -%}
{%- if execute and flags.WHICH in ('build', 'test') -%}
  {%- for service, month, n, rejected in run_query(sql).rows -%}
    {%- set reasons = run_query('select first_reason, count(*) as n from ' ~ ref('trips_rejected') ~ " where service = '" ~ service ~ "' and trip_month = " ~ day(month) ~ ' group by first_reason order by n desc, first_reason').rows -%}
    {{ exceptions.raise_compiler_error(
      service ~ ' ' ~ (month | string)[:7] ~ ': ' ~ rejected ~ ' of ' ~ n ~ ' rows are rejected (' ~ (100 * rejected / n) | round(1)
      ~ ' %; max_rejected_fraction allows ' ~ (100 * var('max_rejected_fraction')) | round(1) ~ ' %): '
      ~ reasons | map('join', ' ') | join(', ') ~ '; look at silver.trips_rejected' ~ var('suffix') ~ ', then correct the rule, or raise max_rejected_fraction in dbt/dbt_project.yml') }}
  {%- endfor -%}
{%- endif -%}
{{ sql }}
