{# The words in which the warehouses differ. Everything else is SQL that all of them accept. #}

{# Types #}

{% macro whole(x) -%} cast({{ x }} as {{ 'int64' if target.type == 'bigquery' else 'bigint' }}) {%- endmacro %}

{% macro real(x) -%}
  cast({{ x }} as {{ {'bigquery': 'float64', 'postgres': 'double precision'}.get(target.type, 'double') }})
{%- endmacro %}

{% macro text(x) -%}
  cast({{ x }} as {{ {'bigquery': 'string', 'spark': 'string', 'postgres': 'text'}.get(target.type, 'varchar') }})
{%- endmacro %}

{% macro moment(x) -%}
  cast({{ x }} as {{ {'bigquery': 'datetime', 'spark': 'timestamp_ntz'}.get(target.type, 'timestamp') }})
{%- endmacro %}

{% macro flag(x) -%} cast({{ x }} as {{ 'bool' if target.type == 'bigquery' else 'boolean' }}) {%- endmacro %}

{# The number that a text is; null for another text, such as a hash. #}
{% macro number_in(x) -%}
  case when {{ fits('trim(' ~ x ~ ')', '^[-+]?[0-9]{1,15}([.][0-9]*)?$') }} then {{ real('trim(' ~ x ~ ')') }} end
{%- endmacro %}

{% macro fits(x, pattern) -%} {{ return(adapter.dispatch('fits', 'nyc_taxi')(x, pattern)) }} {%- endmacro %}
{% macro default__fits(x, pattern) -%} regexp_matches({{ x }}, '{{ pattern }}') {%- endmacro %}
{% macro postgres__fits(x, pattern) -%} {{ x }} ~ '{{ pattern }}' {%- endmacro %}
{% macro spark__fits(x, pattern) -%} {{ x }} rlike '{{ pattern }}' {%- endmacro %}
{% macro bigquery__fits(x, pattern) -%} regexp_contains({{ x }}, '{{ pattern }}') {%- endmacro %}

{# Dollars to the cent. By way of six digits, because warehouses round a double's cents differently.
   Null for values that no decimal holds; rules.sql rejects their rows. #}
{% macro money(x) -%} {{ return(adapter.dispatch('money', 'nyc_taxi')(x)) }} {%- endmacro %}
{% macro default__money(x) -%}
  cast(cast(case when abs({{ x }}) < 1e9 then {{ x }} end as decimal(18, 6)) as decimal(18, 2))
{%- endmacro %}
{% macro postgres__money(x) -%}
  cast(cast(case when abs({{ x }}) < 1e9 then {{ x }} end as numeric) as numeric(18, 2))
{%- endmacro %}
{% macro bigquery__money(x) -%}
  round(cast(case when abs({{ x }}) < 1e9 then {{ x }} end as numeric), 2)
{%- endmacro %}

{# Dates and times #}

{% macro day(iso) -%} date '{{ iso }}' {%- endmacro %}

{% macro date_of(t) -%} cast({{ t }} as date) {%- endmacro %}

{% macro midnight(d) -%} {{ moment(d) }} {%- endmacro %}

{% macro add_days(t, n) -%} {{ return(adapter.dispatch('add_days', 'nyc_taxi')(t, n)) }} {%- endmacro %}
{% macro default__add_days(t, n) -%} ({{ t }} + interval '{{ n }} days') {%- endmacro %}
{% macro spark__add_days(t, n) -%} ({{ t }} + interval {{ n }} days) {%- endmacro %}
{% macro bigquery__add_days(t, n) -%} datetime_add({{ t }}, interval {{ n }} day) {%- endmacro %}

{% macro next_month(d) -%} {{ return(adapter.dispatch('next_month', 'nyc_taxi')(d)) }} {%- endmacro %}
{% macro default__next_month(d) -%} ({{ d }} + interval '1 month') {%- endmacro %}
{% macro spark__next_month(d) -%} add_months({{ d }}, 1) {%- endmacro %}
{% macro bigquery__next_month(d) -%} date_add({{ d }}, interval 1 month) {%- endmacro %}

{% macro month_of(t) -%} {{ return(adapter.dispatch('month_of', 'nyc_taxi')(t)) }} {%- endmacro %}
{% macro default__month_of(t) -%} cast(date_trunc('month', {{ t }}) as date) {%- endmacro %}
{% macro bigquery__month_of(t) -%} date_trunc(date({{ t }}), month) {%- endmacro %}

{% macro hour_of(t) -%} {{ return(adapter.dispatch('hour_of', 'nyc_taxi')(t)) }} {%- endmacro %}
{% macro default__hour_of(t) -%} date_trunc('hour', {{ t }}) {%- endmacro %}
{% macro spark__hour_of(t) -%} cast(date_trunc('hour', {{ t }}) as timestamp_ntz) {%- endmacro %}
{% macro bigquery__hour_of(t) -%} datetime_trunc({{ t }}, hour) {%- endmacro %}

{# Whole seconds from a to b. #}
{% macro seconds(a, b) -%} {{ return(adapter.dispatch('seconds', 'nyc_taxi')(a, b)) }} {%- endmacro %}
{% macro default__seconds(a, b) -%} date_diff('second', {{ a }}, {{ b }}) {%- endmacro %}
{% macro postgres__seconds(a, b) -%}
  cast(extract(epoch from date_trunc('second', {{ b }}) - date_trunc('second', {{ a }})) as bigint)
{%- endmacro %}
{% macro spark__seconds(a, b) -%}
  timestampdiff(second, date_trunc('second', {{ a }}), date_trunc('second', {{ b }}))
{%- endmacro %}
{% macro bigquery__seconds(a, b) -%} datetime_diff({{ b }}, {{ a }}, second) {%- endmacro %}

{% macro part_of(part, t) -%} {{ whole('extract(' ~ part ~ ' from ' ~ t ~ ')') }} {%- endmacro %}

{# Monday is 1, Sunday is 7. #}
{% macro weekday(d) -%} {{ return(adapter.dispatch('weekday', 'nyc_taxi')(d)) }} {%- endmacro %}
{% macro default__weekday(d) -%} {{ part_of('isodow', d) }} {%- endmacro %}
{% macro spark__weekday(d) -%} cast(weekday({{ d }}) + 1 as bigint) {%- endmacro %}
{% macro bigquery__weekday(d) -%} mod(extract(dayofweek from {{ d }}) + 5, 7) + 1 {%- endmacro %}

{# New York wall-clock time of a time in UTC. #}
{% macro new_york(t) -%} {{ return(adapter.dispatch('new_york', 'nyc_taxi')(t)) }} {%- endmacro %}
{% macro default__new_york(t) -%} (({{ t }} at time zone 'UTC') at time zone 'America/New_York') {%- endmacro %}
{% macro spark__new_york(t) -%} cast(from_utc_timestamp({{ t }}, 'America/New_York') as timestamp_ntz) {%- endmacro %}
{% macro bigquery__new_york(t) -%} datetime(timestamp({{ t }}, 'UTC'), 'America/New_York') {%- endmacro %}

{# One row a day, column `day`. #}
{% macro days(first, last) -%} {{ return(adapter.dispatch('days', 'nyc_taxi')(first, last)) }} {%- endmacro %}
{% macro default__days(first, last) -%}
  select cast(d as date) as day from generate_series(timestamp '{{ first }}', timestamp '{{ last }}', interval '1 day') as s(d)
{%- endmacro %}
{% macro spark__days(first, last) -%}
  select explode(sequence(date '{{ first }}', date '{{ last }}', interval 1 day)) as day
{%- endmacro %}
{% macro bigquery__days(first, last) -%}
  select day from unnest(generate_date_array(date '{{ first }}', date '{{ last }}')) as day
{%- endmacro %}

{# One row a number, column `n`. #}
{% macro numbers(first, last) -%} {{ return(adapter.dispatch('numbers', 'nyc_taxi')(first, last)) }} {%- endmacro %}
{% macro default__numbers(first, last) -%}
  select cast(n as bigint) as n from generate_series({{ first }}, {{ last }}) as s(n)
{%- endmacro %}
{% macro spark__numbers(first, last) -%} select explode(sequence({{ first }}L, {{ last }}L)) as n {%- endmacro %}
{% macro bigquery__numbers(first, last) -%} select n from unnest(generate_array({{ first }}, {{ last }})) as n {%- endmacro %}

{# A text literal. #}
{% macro quoted_text(x) -%} {{ return(adapter.dispatch('quoted_text', 'nyc_taxi')(x)) }} {%- endmacro %}
{% macro default__quoted_text(x) -%} '{{ x | replace("'", "''") }}' {%- endmacro %}
{% macro spark__quoted_text(x) -%} '{{ x | replace("'", "\\'") }}' {%- endmacro %}
{% macro bigquery__quoted_text(x) -%} '{{ x | replace("'", "\\'") }}' {%- endmacro %}

{# Lists of texts #}

{# A list of the texts that are not null. #}
{% macro list_of(texts) -%} {{ return(adapter.dispatch('list_of', 'nyc_taxi')(texts)) }} {%- endmacro %}
{% macro default__list_of(texts) -%} list_filter([{{ texts | join(', ') }}], lambda x: x is not null) {%- endmacro %}
{% macro postgres__list_of(texts) -%} array_remove(array[{{ texts | join(', ') }}], null) {%- endmacro %}
{% macro spark__list_of(texts) -%} array_compact(array({{ texts | join(', ') }})) {%- endmacro %}
{% macro bigquery__list_of(texts) -%}
  array(select x from unnest([{{ texts | join(', ') }}]) as x where x is not null)
{%- endmacro %}

{% macro contains(list, item) -%} {{ return(adapter.dispatch('contains', 'nyc_taxi')(list, item)) }} {%- endmacro %}
{% macro default__contains(list, item) -%} list_contains({{ list }}, '{{ item }}') {%- endmacro %}
{% macro postgres__contains(list, item) -%} '{{ item }}' = any({{ list }}) {%- endmacro %}
{% macro spark__contains(list, item) -%} array_contains({{ list }}, '{{ item }}') {%- endmacro %}
{% macro bigquery__contains(list, item) -%} '{{ item }}' in unnest({{ list }}) {%- endmacro %}
