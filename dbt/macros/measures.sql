{# Sums, counts and means that are equal on every warehouse. #}

{% macro count_if(condition) -%} count(case when {{ condition }} then 1 end) {%- endmacro %}

{% macro total(x) -%} {{ whole('sum(' ~ x ~ ')') }} {%- endmacro %}

{# Sum of decimals with two digits: dollars, or miles. #}
{% macro sum_decimal(x) -%}
  cast(sum({{ x }}) as {{ 'numeric' if target.type == 'bigquery' else 'decimal(18, 2)' }})
{%- endmacro %}

{# Mean of measurements with three digits: summed as decimals, so that the order does not matter. #}
{% macro mean(x) -%}
  floor({{ real('sum(' ~ decimal_6(x) ~ ')') }} * 1000 / count({{ x }}) + 0.5) / 1000
{%- endmacro %}

{% macro decimal_6(x) -%}
  cast({{ x }} as {{ 'numeric' if target.type == 'bigquery' else 'decimal(18, 6)' }})
{%- endmacro %}

{# Miles have three digits in some files. #}
{% macro sum_miles(x) -%}
  {{ 'round(sum(' ~ decimal_6(x) ~ '), 2)' if target.type == 'bigquery' else 'cast(sum(' ~ decimal_6(x) ~ ') as decimal(18, 2))' }}
{%- endmacro %}
