// GPUs that are not there: a device plugin, as a maker of GPUs gives one, with devices that are nothing but names.
// A plain number in the node's status would do until the kubelet is started again, which sets it to zero.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	plugin "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

type gpus struct {
	plugin.UnimplementedDevicePluginServer
	count int
}

const resource = "nvidia.com/gpu"

func main() {
	count := flag.Int("count", 1, "how many")
	flag.Parse()
	for ; ; time.Sleep(time.Second) {
		if err := serve(gpus{count: *count}); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

// Serves until the kubelet, which empties the folder when it starts, has taken the socket away.
func serve(devices gpus) error {
	socket := filepath.Join(plugin.DevicePluginPath, "simulated-gpu.sock")
	os.Remove(socket)
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	defer server.Stop()
	plugin.RegisterDevicePluginServer(server, devices)
	go server.Serve(listener)
	if err := register(filepath.Base(socket)); err != nil {
		return err
	}
	for err == nil {
		time.Sleep(200 * time.Millisecond)
		_, err = os.Stat(socket)
	}
	return nil
}

func register(endpoint string) error {
	connection, err := grpc.NewClient("unix://"+plugin.KubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	request := &plugin.RegisterRequest{Version: plugin.Version, Endpoint: endpoint, ResourceName: resource}
	_, err = plugin.NewRegistrationClient(connection).Register(ctx, request)
	return err
}

func (gpus) GetDevicePluginOptions(context.Context, *plugin.Empty) (*plugin.DevicePluginOptions, error) {
	return &plugin.DevicePluginOptions{}, nil
}

func (g gpus) ListAndWatch(_ *plugin.Empty, stream grpc.ServerStreamingServer[plugin.ListAndWatchResponse]) error {
	all := &plugin.ListAndWatchResponse{}
	for number := range g.count {
		all.Devices = append(all.Devices, &plugin.Device{ID: fmt.Sprint("GPU-", number), Health: plugin.Healthy})
	}
	if err := stream.Send(all); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

// As NVIDIA's plugin does, it tells a container its devices by an environment variable.
func (gpus) Allocate(_ context.Context, request *plugin.AllocateRequest) (*plugin.AllocateResponse, error) {
	answer := &plugin.AllocateResponse{}
	for _, container := range request.ContainerRequests {
		envs := map[string]string{"NVIDIA_VISIBLE_DEVICES": strings.Join(container.DevicesIds, ",")}
		one := &plugin.ContainerAllocateResponse{Envs: envs}
		answer.ContainerResponses = append(answer.ContainerResponses, one)
	}
	return answer, nil
}
