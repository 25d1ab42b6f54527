{{/* An image: pinned by its digest, unless the values insist. */}}
{{- define "cloister.image" -}}
{{- $image := index .Values.images .name -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else if and .Values.images.unpinned $image.tag -}}
{{ $image.repository }}:{{ $image.tag }}
{{- else -}}
{{ fail (printf "images.%s.digest is empty: name the image by its digest, sha256:... (or set images.unpinned and a tag, for tests)" .name) }}
{{- end -}}
{{- end -}}

{{/* The labels by which the pods of a program are found. */}}
{{- define "cloister.selector" -}}
app.kubernetes.io/name: cloister
app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{/* Where and as what the pods of a program run. */}}
{{- define "cloister.placement" -}}
{{- $program := index .Values .name -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $program.priorityClass }}
priorityClassName: {{ . }}
{{- end }}
{{- with $program.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $program.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $program.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "cloister.selector" . | nindent 8 }}
{{- end -}}

{{/* Settings are read at the start, so pods are replaced when they change. */}}
{{- define "cloister.podAnnotations" -}}
{{- $annotations := dict -}}
{{- with .Values.settings }}{{ $_ := set $annotations "cloister.dev/settings" (sha256sum .) }}{{ end -}}
{{- with merge $annotations (index .Values .name).podAnnotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Kubernetes moves no pod of a program whose budget it would break: with one replica there is none. */}}
{{- define "cloister.budget" -}}
{{- if gt (int (index .Values .name).replicas) 1 }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: cloister-{{ .name }}
  namespace: {{ .Release.Namespace }}
spec:
  minAvailable: 1
  selector:
    matchLabels: {{- include "cloister.selector" . | nindent 6 }}
{{- end }}
{{- end -}}
