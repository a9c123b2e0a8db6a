// Package receive is the HTTP end of the bridge: it takes webhooks off the
// wire, lets only the sender's requests in, and turns a Handler's Answer into
// a status code.
//
// A request passes these checks in this order. The first that fails decides
// the reply, and nothing that fails one reaches the Handler:
//
//	connection   more than MaxConnsPerAddr of its
//	             address, or MaxConns in all and each
//	             has a request being answered       503, closed
//	framing      malformed or cut short             400, closed
//	             too slow (ReadTimeout)             408, closed
//	             body over MaxBody                  413, closed, the rest unread
//	             header over MaxHeader              431, closed
//	caller       not in AllowFrom                   403
//	target       not Path, or no valid secret       404
//	method       not POST                           405 with Allow: POST
//	             (these two before a body over 4 KiB
//	             of declared length is read, the
//	             target before one in chunks)
//	Handler      Accept, Refuse, Invalid, Full      200, 403, 400, 503
//	             a panic                            503
//
// Every reply has an empty body, so that the sender has nothing to parse, and
// none is a 3xx, because the sender would take it as an instruction to rename
// the stream. HTTP/1.0 connections are always closed after the reply: the
// sender reads until the close. The Handler sees whole bodies only: a
// body that ends early or breaks its framing is answered by this package.
//
// When MaxConns are open, a new connection gets the place of one that has no request
// being answered, which is closed: see room.
//
// Each connection has one goroutine, owned by the Server and joined by
// Shutdown, which serves others after it: see workers. A request that passes every check allocates nothing here.
package receive
