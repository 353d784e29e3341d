{# Holidays by rule, on the columns year, month, day_of_month and weekday (1 is Monday) of dim_date. #}

{% macro first_date() -%} 2008-12-01 {%- endmacro %}
{% macro last_date() -%} 2035-12-31 {%- endmacro %}

{% macro is_day(month, day) -%} month = {{ month }} and day_of_month = {{ day }} {%- endmacro %}

{# The nth weekday of a month is the one among its nth seven days. #}
{% macro is_nth(n, weekday, month) -%}
  month = {{ month }} and weekday = {{ weekday }} and day_of_month between {{ 7 * n - 6 }} and {{ 7 * n }}
{%- endmacro %}

{# Federal holidays, on the day itself. Source: 5 U.S.C. 6103. #}
{% macro us_holiday() -%}
  case
    when {{ is_day(1, 1) }} then {{ quoted_text("New Year's Day") }}
    when {{ is_nth(3, 1, 1) }} then {{ quoted_text("Birthday of Martin Luther King, Jr.") }}
    when {{ is_nth(3, 1, 2) }} then {{ quoted_text("Washington's Birthday") }}
    when month = 5 and weekday = 1 and day_of_month >= 25 then {{ quoted_text("Memorial Day") }}
    when {{ is_day(6, 19) }} and year >= 2021 then {{ quoted_text("Juneteenth") }}
    when {{ is_day(7, 4) }} then {{ quoted_text("Independence Day") }}
    when {{ is_nth(1, 1, 9) }} then {{ quoted_text("Labor Day") }}
    when {{ is_nth(2, 1, 10) }} then {{ quoted_text("Columbus Day") }}
    when {{ is_day(11, 11) }} then {{ quoted_text("Veterans Day") }}
    when {{ is_nth(4, 4, 11) }} then {{ quoted_text("Thanksgiving Day") }}
    when {{ is_day(12, 25) }} then {{ quoted_text("Christmas Day") }}
  end
{%- endmacro %}

{# What New York has besides. Source: N.Y. General Construction Law, section 24. #}
{% macro new_york_holiday() -%}
  case
    when {{ is_day(2, 12) }} then {{ quoted_text("Lincoln's Birthday") }}
    when {{ is_nth(2, 7, 6) }} then {{ quoted_text("Flag Day") }}
    when {{ is_day(6, 19) }} and year = 2020 then {{ quoted_text("Juneteenth") }}
    when month = 11 and weekday = 2 and day_of_month between 2 and 8 then {{ quoted_text("Election Day") }}
  end
{%- endmacro %}
