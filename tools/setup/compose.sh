#!/usr/bin/env bash
# Checks docker-compose.yml without a Docker daemon: with the loader that docker compose itself is built on, which holds the
# compose specification's schema, and with docker compose where it is installed. What the file promises beyond the schema,
# configs/compose_test.go checks.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Without interpolation: this command of the loader does not hand the environment on to it.
go run github.com/compose-spec/compose-go/v2/cmd@v2.16.2 -no-interpolation docker-compose.yml >/dev/null

if docker compose version >/dev/null 2>&1; then
	SIGHTLINE_TOKEN=0123456789abcdef SIGHTLINE_BUS_PASSWORD=0123456789abcdef docker compose config --quiet
fi
