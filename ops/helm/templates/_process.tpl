{{- define "beacon.selector" -}}
app.kubernetes.io/name: beacon-runner
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "beacon.metadata" -}}
name: {{ printf "%s-%s" .root.Release.Name (.component | replace "_" "-") }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "beacon.selector" . | nindent 2 }}
  app.kubernetes.io/managed-by: {{ .root.Release.Service }}
  helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "beacon.image" -}}
image: "{{ .Values.image.repository }}:{{ required "image.tag is not set" .Values.image.tag }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{- define "beacon.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false # they would be variables that nobody asked for
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "beacon.secretEnv" -}}
- name: {{ .name }}
  valueFrom: { secretKeyRef: { name: {{ .secret }}, key: {{ .name }}, optional: {{ .optional | default false }} } }
{{- end }}

{{- define "beacon.tlsMount" -}}
{{- if .Values.secrets.tls -}}
- { name: tls, mountPath: /etc/beacon/tls, readOnly: true }
{{- end }}
{{- end }}

{{- define "beacon.tlsVolume" -}}
{{- if .Values.secrets.tls -}}
- { name: tls, secret: { secretName: {{ .Values.secrets.tls }}, defaultMode: 288 } } # 0440
{{- end }}
{{- end }}

{{- /* What the chart sets itself: a name of the values' `env` may not be there too. root, kind: as below; receipts: signs them. */ -}}
{{- define "beacon.ownEnv" -}}
{{- $secret := get .root.Values.secrets .kind }}
{{- $api := eq .kind "api" }}
{{- include "beacon.secretEnv" (dict "name" "DATABASE_URL" "secret" $secret) }}
{{- if or $api (eq .kind "publisher") }}
{{ include "beacon.secretEnv" (dict "name" "LISTEN_DATABASE_URL" "secret" $secret "optional" true) }}
{{- end }}
{{- if or (eq .kind "worker") (eq .kind "publisher") }}
{{ include "beacon.secretEnv" (dict "name" "REDIS_URL" "secret" $secret) }}
{{- end }}
{{- if $api }}
{{ include "beacon.secretEnv" (dict "name" "ADMIN_TOKENS" "secret" $secret "optional" true) }}
{{ include "beacon.secretEnv" (dict "name" "READ_TOKENS" "secret" $secret "optional" true) }}
- { name: BIND, value: "0.0.0.0:8090" }
- { name: TRUSTED_KEYS_FILE, value: /etc/beacon/keys/trusted-keys.json }
{{- else }}
- { name: METRICS_HOST, value: 0.0.0.0 }
- { name: METRICS_PORT, value: "9100" }
{{- end }}
{{- if ne .kind "publisher" }}
- { name: REGIONS_FILE, value: /etc/beacon/regions/regions.toml }
{{- end }}
{{- if .receipts }}
- { name: RECEIPT_KEY_FILE, value: /run/receipt-key/receipt.pem }
{{- end }}
- { name: STOP_GRACE_SECONDS, value: {{ .root.Values.stopGraceSeconds | quote }} }
{{- end }}

{{- /* One Deployment. root; component: the Procfile's name; command: its line; kind: api, publisher, worker, analyst;
       own: the values of this process; scaled: KEDA owns the number of pods; region: of a worker. */ -}}
{{- define "beacon.deployment" -}}
{{- $values := .root.Values }}
{{- $api := eq .kind "api" }}
{{- $worker := eq .kind "worker" }}
{{- $regions := ne .kind "publisher" }}
{{- $receipts := and $worker $values.secrets.receiptKey }}
{{- $env := merge (deepCopy .own.env) $values.env (dict "LOG_JSON" "1") }}
{{- $set := include "beacon.ownEnv" (dict "root" .root "kind" .kind "receipts" $receipts) }}
{{- range $set | fromYamlArray }}
{{- if hasKey $env .name }}
{{- fail (printf "env: the chart sets %s itself, and probes, ports and mounts hold to it: take it out (stopGraceSeconds and regionsFile are values of their own)" .name) }}
{{- end }}
{{- end }}
{{- $probeSeconds := $env.PROBE_SECONDS | default "60" | float64 | ceil | int }}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "beacon.metadata" . | nindent 2 }}
spec:
  {{- if not .scaled }}
  replicas: {{ .own.replicas }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "beacon.selector" . | nindent 6 }}
  strategy:
    type: RollingUpdate
    rollingUpdate: { maxUnavailable: 0, maxSurge: 1 }
  template:
    metadata:
      labels:
        {{- include "beacon.selector" . | nindent 8 }}
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: {{ ternary "8090" "9100" $api | quote }}
        prometheus.io/path: /metrics
        {{- if $regions }}
        beacon-runner/regions-file: {{ $values.regionsFile | sha256sum }}
        {{- end }}
    spec:
      {{- include "beacon.podSecurity" .root | nindent 6 }}
      terminationGracePeriodSeconds: {{ add $values.stopGraceSeconds 15 }}
      {{- with .own.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .own.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "beacon.selector" . | nindent 14 }}
      {{- if $receipts }}
      initContainers:
        # A private key opens for its owner only, and a Secret's file belongs to root.
        - name: receipt-key
          {{- include "beacon.image" .root | nindent 10 }}
          command: [install, --mode=0600, /run/receipt-secret/receipt.pem, /run/receipt-key/receipt.pem]
          volumeMounts:
            - { name: receipt-secret, mountPath: /run/receipt-secret, readOnly: true }
            - { name: receipt-key, mountPath: /run/receipt-key }
      {{- end }}
      containers:
        - name: {{ .component | replace "_" "-" }}
          {{- include "beacon.image" .root | nindent 10 }}
          command: {{ splitList " " .command | toJson }}
          env:
            {{- $set | nindent 12 }}
            {{- range $name, $value := $env }}
            - { name: {{ $name }}, value: {{ $value | quote }} }
            {{- end }}
          {{- if and $worker .own.providerKeysSecret }}
          envFrom:
            - secretRef: { name: {{ .own.providerKeysSecret }} }
          {{- end }}
          ports:
            - { name: {{ ternary "http" "metrics" $api }}, containerPort: {{ ternary 8090 9100 $api }} }
          startupProbe: # a minute longer than PROBE_SECONDS, for which a process waits for its database
            httpGet: { path: /health/live, port: {{ ternary "http" "metrics" $api }} }
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: {{ div (add $probeSeconds 60) 5 }}
          livenessProbe:
            httpGet: { path: /health/live, port: {{ ternary "http" "metrics" $api }} }
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 3
          {{- /* An API without its database answers 503 with Retry-After. Without a pod in the Service clients would be refused
                 their connections instead, so it stays for two minutes, which is longer than a failover. */}}
          readinessProbe:
            httpGet: { path: /health/ready, port: {{ ternary "http" "metrics" $api }} }
            periodSeconds: 10
            timeoutSeconds: 8
            failureThreshold: {{ ternary 12 2 $api }}
          {{- if $api }}
          lifecycle:
            preStop: # until no new request is led here
              exec: { command: [sleep, "5"] }
          {{- end }}
          resources: {{- toYaml .own.resources | nindent 12 }}
          volumeMounts:
            - { name: tmp, mountPath: /tmp }
            {{- include "beacon.tlsMount" .root | nindent 12 }}
            {{- if $regions }}
            - { name: regions, mountPath: /etc/beacon/regions, readOnly: true }
            {{- end }}
            {{- if $api }}
            - { name: trusted-keys, mountPath: /etc/beacon/keys, readOnly: true }
            {{- end }}
            {{- if $receipts }}
            - { name: receipt-key, mountPath: /run/receipt-key, readOnly: true }
            {{- end }}
      volumes:
        - { name: tmp, emptyDir: { sizeLimit: 256Mi } }
        {{- include "beacon.tlsVolume" .root | nindent 8 }}
        {{- if $regions }}
        - { name: regions, configMap: { name: {{ printf "%s-regions" .root.Release.Name }} } }
        {{- end }}
        {{- if $api }}
        - { name: trusted-keys, configMap: { name: {{ $values.trustedKeysConfigMap }} } }
        {{- end }}
        {{- if $receipts }}
        - { name: receipt-secret, secret: { secretName: {{ $values.secrets.receiptKey }}, defaultMode: 288 } } # 0440
        - { name: receipt-key, emptyDir: { medium: Memory, sizeLimit: 1Mi } }
        {{- end }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "beacon.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "beacon.selector" . | nindent 6 }}
{{- end }}
