// Package admin is the operator's private listener: is the bridge alive, is it
// ready, what has it counted, what state is it in.
//
//	/livez            200 while the process runs
//	/readyz           200 or 503; ?verbose lists the checks
//	/metrics          Prometheus
//	/status           JSON
//	/asyncapi.json    the contract of what is published
//	/debug/pprof/     profiles, for go tool pprof
//	/events           a sample of the events, as server-sent events
//	/                 the operator's page, made of these and of Config.Queries
//
// The first three are open to whoever reaches the listener, because probes and
// scrapers have no secrets; they name no stream, address or client. Everything
// else is for callers on the same host or with the token: in a header, or, for a
// browser, in the form of /login, which gives a cookie for it. The form and its
// style sheet are open too where there is a token. An address that presents several wrong
// ones has to wait a moment: see guesses.
//
// Other pages in the operator's browser get nothing: requests made for them are
// refused by what the browser says of itself and by the name they came to, and the
// content policy keeps what is here from being framed, and texts from becoming markup.
//
// The package knows nothing of the bridge: Config takes functions. It counts
// nothing on the request path either, except through Histogram and Feed, which are
// made for it: they neither allocate nor wait.
package admin
