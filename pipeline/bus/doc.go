// Package bus is the contract between the roles: messages, subjects, streams and the NATS connection that carries them.
//
// A Conn publishes and receives; nothing that publishes ever waits for the broker. Every queue is bounded, drops the
// oldest and counts. Pixels of one host stay in shared memory: a Ring is written by the camera's owner, a Mapper reads.
package bus
