// Package kafka speaks to Apache Kafka and what is spoken to as it is.
//
// Of usage it carries the batches between regions, and questions about leases: a topic
// a region, of one partition, because the order of batches is kept in one.
//
//	conn, err := kafka.ConnectUsage(kafka.UsageConfig{URL: "kafka://kafka.example.com:9092"})
//	stream := conn.Stream("eu-west")
//
// Of workers it carries events, in and out, in transactions where both are wanted:
//
//	in, err := kafka.NewInput(kafka.EventsConfig{URL: url, Topics: []string{"logins"}, Group: "ipwarden"})
//
// It refuses a topic of usage of several partitions, whose batches would come in no order.
package kafka
