{# Returns the rules whose example does not match, or whose counterexample does. #}
{% for rule in rules() -%}
select '{{ rule.name }}' as rule, 'example does not match' as problem from ({{ example_trip(rule.example) }}) as t where not {{ matches(rule) }}
union all
{% if rule.but_not is defined -%}
select '{{ rule.name }}', 'but_not matches' from ({{ example_trip(rule.but_not) }}) as t where {{ matches(rule) }}
union all
{% endif -%}
select '{{ rule.name }}', 'the ordinary trip matches' from ({{ example_trip({}) }}) as t where {{ matches(rule) }}
{{ 'union all' if not loop.last }}
{% endfor %}
