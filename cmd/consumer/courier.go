package main

import (
	"net/http"

	"bintubridge/consumers/outbound"
)

// newCourier returns the one Courier of this process, and puts it where shoutrrr's services look for
// their transport: most of them take no other.
func newCourier(g outbound.Guard) *outbound.Courier {
	courier := outbound.NewCourier(g)
	http.DefaultTransport = courier
	return courier
}
