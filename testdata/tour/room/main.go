// Command room is a chat room and a receiver of webhooks to try things with: it prints
// what is posted to it.
//
//	room 127.0.0.1:9000
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: room ADDRESS")
	}
	log.Fatal(http.ListenAndServe(os.Args[1], http.HandlerFunc(show))) //nolint:gosec // for trying things on one's own machine
}

func show(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Printf("%s %s\n", r.URL.Path, body)
}
