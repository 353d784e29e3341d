{# Reads a table that may be missing, or lack columns: it then has no rows, or nulls. #}

{# `columns`: name here -> [name in bronze, type]; type is whole, real, text, moment, date.
   A list of names in bronze is their sum. `required`: names here. `where`: on the names in bronze. #}
{% macro read_bronze(table, columns, required=[], where='true') -%}
  {%- set found = {} -%}
  {%- set relation = none -%}
  {%- if execute -%}
    {%- set source_relation = source('bronze', table) -%}
    {%- set relation = adapter.get_relation(source_relation.database, source_relation.schema, source_relation.identifier) -%}
    {%- if relation is not none -%}
      {%- for column in adapter.get_columns_in_relation(relation) -%}
        {%- do found.update({column.name | lower: column}) -%}
      {%- endfor -%}
    {%- endif -%}
  {%- else -%}
    {%- do source('bronze', table) -%}
  {%- endif -%}
  select
  {% for name, (theirs, type) in columns.items() -%}
    {%- set present = [] -%}
    {%- for one in ([theirs] if theirs is string else theirs) -%}
      {%- set column = found.get(one | lower) -%}
      {%- if column -%}
        {%- do present.append(number_in(one) if type in ('whole', 'real') and column.is_string() else one) -%}
      {%- elif relation is not none and name in required -%}
        {{ exceptions.raise_compiler_error(relation.schema ~ '.' ~ table ~ ' has no column ' ~ one ~ ', which silver needs; reload its months') }}
      {%- endif -%}
    {%- endfor -%}
    {{ typed(sum_of(present), type) }} as {{ name }}{{ ',' if not loop.last }}
  {% endfor -%}
  {%- if relation is none %} from (select 1 as nothing) as missing where false
  {%- else %} from {{ relation }} as bronze where {{ where }}
  {%- endif -%}
{%- endmacro %}

{% macro sum_of(names) -%}
  {%- if not names -%} null
  {%- elif names | length == 1 -%} {{ names[0] }}
  {%- else -%} {{ names[0] }}{% for name in names[1:] %} + coalesce({{ name }}, 0){% endfor %}
  {%- endif -%}
{%- endmacro %}

{% macro typed(x, type) -%}
  {%- if type == 'whole' -%} {{ whole(x) }}
  {%- elif type == 'real' -%} {{ real(x) }}
  {%- elif type == 'text' -%} {{ text(x) }}
  {%- elif type == 'moment' -%} {{ moment(x) }}
  {%- else -%} cast({{ x }} as date)
  {%- endif -%}
{%- endmacro %}

{# One service's trips under the common names: the same columns for each. #}
{% macro bronze_trips(service, names) -%}
  {%- set columns = {'trip_month': ['trip_month', 'date']} -%}
  {%- for name, type in trip_columns().items() -%}
    {%- do columns.update({name: [names.get(name, []), type]}) -%}
  {%- endfor -%}
  {%- set required = ['trip_month', 'pickup_datetime', 'dropoff_datetime', 'pickup_zone_id'] -%}
  select {{ text("'" ~ service ~ "'") }} as service, t.* from (
    {{ read_bronze(service ~ '_rides', columns, required, in_months('bronze.trip_month')) }}
  ) as t
{%- endmacro %}

{# The common columns and their types. To add a column of bronze, add it here, to the service's
   model in models/bronze, and to models/silver/trips.sql. #}
{% macro trip_columns() -%}
  {{ return({
    'pickup_datetime': 'moment', 'dropoff_datetime': 'moment', 'request_datetime': 'moment',
    'pickup_zone_id': 'whole', 'dropoff_zone_id': 'whole',
    'vendor_id': 'whole', 'rate_code_id': 'whole', 'payment_type_id': 'whole', 'trip_type_id': 'whole',
    'company_license': 'text', 'base_number': 'text',
    'store_and_forward_flag': 'text', 'shared_match_flag': 'text', 'shared_ride': 'whole',
    'passenger_count': 'whole', 'distance_miles': 'real',
    'fare_amount': 'real', 'extra_amount': 'real', 'mta_tax': 'real', 'tip_amount': 'real',
    'tolls_amount': 'real', 'improvement_surcharge': 'real', 'congestion_surcharge': 'real',
    'airport_fee': 'real', 'cbd_congestion_fee': 'real', 'ehail_fee': 'real',
    'black_car_fund': 'real', 'sales_tax': 'real', 'total_amount': 'real', 'driver_pay': 'real',
  }) }}
{%- endmacro %}

{% macro amount_columns() -%}
  {{ return([
    'fare_amount', 'extra_amount', 'mta_tax', 'tip_amount', 'tolls_amount', 'improvement_surcharge',
    'congestion_surcharge', 'airport_fee', 'cbd_congestion_fee', 'ehail_fee', 'black_car_fund',
    'sales_tax', 'total_amount', 'driver_pay']) }}
{%- endmacro %}
