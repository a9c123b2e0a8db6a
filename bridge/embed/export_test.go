package embed

import "path/filepath"

// Keep is what the supervisor runs by.
var Keep = keep

// Crash stops the nats-server as if by itself.
func (s *Server) Crash() { stop(s.ns.Load()) }

// WriteCheck is the file that tells whether the disk takes writes.
func (s *Server) WriteCheck() string { return filepath.Join(s.opts.StoreDir, checkName) }
