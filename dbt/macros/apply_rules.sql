{# SQL made from the rules. Each condition stays on one line with the rule's name, because that is
   the line that a warehouse quotes when it cannot parse a rule. #}

{% macro matches(rule) -%}
  coalesce(({{ rule.sql }}), false) /* rule {{ rule.name }} */
{%- endmacro %}

{# Trips with a boolean for each flag, and is_rejected. #}
{% macro checked(trips) -%}
  select t.*,
    {% for rule in rules('flag') -%}
    {{ matches(rule) }} as {{ rule.name }},
    {% endfor -%}
    {% for rule in rules('reject') -%}
    {{ matches(rule) }} {{ 'or' if not loop.last }}
    {% endfor -%}
    as is_rejected
  from ({{ trips }}) as t
{%- endmacro %}

{# Names of the rejecting rules that a row matches, in the order of rules.sql. #}
{% macro reasons() -%}
  {%- set texts = [] -%}
  {%- for rule in rules('reject') -%}
    {%- do texts.append('case when ' ~ matches(rule) ~ " then '" ~ rule.name ~ "' end") -%}
  {%- endfor -%}
  {{ list_of(texts) }}
{%- endmacro %}

{% macro first_reason() -%}
  case
  {%- for rule in rules('reject') %}
    when {{ matches(rule) }} then '{{ rule.name }}'
  {%- endfor %}
  end
{%- endmacro %}

{# The column, null where a flag blanks it. #}
{% macro kept(column, sql=none) -%}
  {%- set flags = rules('flag') | selectattr('blanks', 'defined') | selectattr('blanks', 'equalto', column) | map(attribute='name') | list -%}
  {%- if flags -%} case when not ({{ flags | join(' or ') }}) then {{ sql or column }} end
  {%- else -%} {{ sql or column }}
  {%- endif -%}
{%- endmacro %}

{# The first Sunday of November: at 2:00 the clock is set back to 1:00 (since 2007). A dropoff may
   then precede its pickup. #}
{% macro clock_was_set_back(pickup, dropoff) -%}
  ({{ dropoff }} < {{ pickup }} and {{ date_of(dropoff) }} = {{ date_of(pickup) }}
{#- #} and extract(month from {{ pickup }}) = 11 and extract(day from {{ pickup }}) <= 7 and {{ weekday(pickup) }} = 7
{#- #} and extract(hour from {{ pickup }}) = 1 and extract(hour from {{ dropoff }}) = 1)
{%- endmacro %}

{# Seconds by which a trip is longer than its wall-clock times say: an hour across the end of summer
   time, minus an hour across its beginning, the second Sunday of March at 2:00. #}
{% macro clock_change(pickup, dropoff) -%}
  {%- set before = seconds(midnight(date_of(dropoff)), pickup) -%}
  case when extract(month from {{ dropoff }}) not in (3, 11) or {{ weekday(dropoff) }} < 7 then 0 else
    case
      when clock_set_back then 3600
      when extract(month from {{ dropoff }}) = 11 and extract(day from {{ dropoff }}) <= 7
        and {{ before }} < 3600 and extract(hour from {{ dropoff }}) >= 2 then 3600
      when extract(month from {{ dropoff }}) = 3 and extract(day from {{ dropoff }}) between 8 and 14
        and {{ before }} < 7200 and extract(hour from {{ dropoff }}) >= 3 then -3600
      else 0
    end
  end
{%- endmacro %}

{# One row: the ordinary trip with these values instead. #}
{% macro example_trip(values) -%}
  {%- set trip = dict(ordinary_trip(), **values) -%}
  select {{ text(sql_literal(trip['service'])) }} as service, cast({{ sql_literal(trip['trip_month']) }} as date) as trip_month
  {%- for name, type in trip_columns().items() %}, {{ typed(sql_literal(trip.get(name)), type) }} as {{ name }}{% endfor %}
{%- endmacro %}

{# The same for several, checked by the rules: input of unit tests. #}
{% macro example_trips(examples) -%}
  {%- set trips = [] -%}
  {%- for values in examples -%} {%- do trips.append(example_trip(values)) -%} {%- endfor -%}
  {{ checked(trips | join(' union all ')) }}
{%- endmacro %}

{% macro sql_literal(value) -%}
  {%- if value is none -%} null {%- elif value is string -%} '{{ value }}' {%- else -%} {{ value }} {%- endif -%}
{%- endmacro %}
