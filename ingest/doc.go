// Package ingest turns cameras into frames: one owner per camera reads its source, decodes, plans the regions and publishes.
package ingest
