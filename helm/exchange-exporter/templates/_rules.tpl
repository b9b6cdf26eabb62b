{{/* One rule with its override: dict rule, change, key, root. */}}
{{- define "exchange-exporter.rule" -}}
{{- $rule := .rule -}}
{{- $p := .root.Values.prometheusRule -}}
{{- if $rule.alert -}}
{{- $notes := default dict $rule.annotations -}}
{{- if and $p.runbookBaseUrl $notes.runbook_url -}}
{{- $_ := set $notes "runbook_url" (printf "%s/%s" (trimSuffix "/" $p.runbookBaseUrl) (base $notes.runbook_url)) -}}
{{- end -}}
{{- if and $p.grafanaUrl $notes.dashboard_url -}}
{{- $_ := set $notes "dashboard_url" (printf "%s%s" (trimSuffix "/" $p.grafanaUrl) $notes.dashboard_url) -}}
{{- end -}}
{{- $_ := set $rule "labels" (mergeOverwrite (default dict $rule.labels) (deepCopy (default dict $p.additionalRuleLabels))) -}}
{{- range $key, $change := .changes -}}
{{- if $change.expr -}}
{{- $_ := set $rule "expr" $change.expr -}}
{{- end -}}
{{- range $old, $new := $change.replace -}}
{{- if not (contains $old $rule.expr) -}}
{{- fail (printf "prometheusRule.overrides.%s.replace: found no %q in: %s" $key $old $rule.expr) -}}
{{- end -}}
{{- $_ := set $rule "expr" (replace $old $new $rule.expr) -}}
{{- end -}}
{{- if hasKey $change "threshold" -}}
{{- $end := "(>=|<=|>|<)(\\s*)-?[0-9.]+(e[-+]?[0-9]+)?\\s*$" -}}
{{- if not (regexMatch $end $rule.expr) -}}
{{- fail (printf "prometheusRule.overrides.%s.threshold: the expression does not end with a threshold, use replace or expr: %s" $key $rule.expr) -}}
{{- end -}}
{{- $_ := set $rule "expr" (regexReplaceAll $end $rule.expr (printf "${1}${2}%s" (toJson $change.threshold))) -}}
{{- end -}}
{{- range $field := list "for" "keep_firing_for" -}}
{{- if hasKey $change $field -}}
{{- $_ := set $rule $field (get $change $field) -}}
{{- end -}}
{{- end -}}
{{- if $change.severity -}}
{{- $_ := set $rule.labels "severity" $change.severity -}}
{{- end -}}
{{- $_ := set $rule "labels" (mergeOverwrite $rule.labels (deepCopy (default dict $change.labels))) -}}
{{- $_ := set $rule "annotations" (mergeOverwrite $notes (deepCopy (default dict $change.annotations))) -}}
{{- end -}}
{{- if .root.Values.alertmanagerConfig.enabled -}}
{{- /* The operator routes by it, and aggregations lose the series' own. */ -}}
{{- $_ := set $rule.labels "namespace" (include "exchange-exporter.namespace" .root) -}}
{{- end -}}
{{- end -}}
{{- toYaml $rule -}}
{{- end -}}
